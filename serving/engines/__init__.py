"""What turns a prompt into an answer: one protocol and the engines behind it."""
