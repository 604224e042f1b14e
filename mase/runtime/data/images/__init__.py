"""What data sets of images share: formats of files, normalisation, augmentation."""
