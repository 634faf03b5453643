"""Views: what is done to the pixels of an image on its way to a model.

chain     the steps that an image goes through, and the digest that it has then
drawing   what is drawn: noise, and which images are changed; the same numbers on every machine
steps     the steps themselves, on pictures
"""
