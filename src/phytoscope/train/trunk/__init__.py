"""Training above a cut: the stages below it are not trained and see some views of each image once."""
