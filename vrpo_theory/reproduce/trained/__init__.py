"""The paper's exhibits of training: one study of arms, whose runs all of them read."""
