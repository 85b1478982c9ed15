"""EfficientNet-Lite0, a class that somebody else wrote, as a model of ftune."""

from efficientnet_lite_pytorch import EfficientNet

import ftune


@ftune.model("efficientnet-lite0")
def efficientnet(outputs: int, size: int = 224) -> EfficientNet:
    """Use with --base efficientnet-lite0-57934424.pth, its authors' weights."""
    return EfficientNet.from_name("efficientnet-lite0", num_classes=outputs, image_size=size)
