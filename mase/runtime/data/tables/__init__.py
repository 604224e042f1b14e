"""What data sets of tables share: formats of files, columns, splits."""
