"""What each column of a table became, and which one gives the target away."""
