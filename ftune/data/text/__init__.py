"""Texts: tokenizers, chat templates, and what becomes of documents, dialogues and word lists."""
