"""What is said in words: results.md, and on the terminal."""
