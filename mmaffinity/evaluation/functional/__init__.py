"""Metrics on NumPy arrays and COCO run lengths, without torch or MMDetection."""
