"""From a listing to pixels.

listing (folder, manifest, quick)     which images there are, with their labels
containers (expand, tar_index,        images inside tars and Parquet files
  webdataset, parquet)
labels, columns, versions             what names say; tables that people bring; what tells a change
places, files, reading (rows)         where the bytes of images lie; reading them, local or on S3
looking                               digests and header facts of a listing
facts (exif, jpeg_tables)             what encoded bytes say: how a file was saved, and by what
fingerprint                           what an image looks like in a few bytes
pillow                                the guarded door to the decoder
geometry, decode                      pixels, equal to torchvision's
draft                                 pixels of large JPEGs, faster and not equal
views                                 what is done to pixels: noise, blur, compression
normalise                             what the network sees
notices                               what happens silently elsewhere, named
"""
