# Your own colour images, in the layout of folders.py: instances with masks, and labelled images.
_base_ = './folders.py'
image_loader = 'LoadImageFromFile'
