"""From a listing to pixels.

listing (folder, manifest, quick)   which images there are, with their labels
reading                             the bytes of one image
looking                             digests and header facts of a listing
pillow                              the guarded door to the decoder
geometry, decode                    pixels, equal to torchvision's
normalise                           what the network sees
notices                             what happens silently elsewhere, named
"""
