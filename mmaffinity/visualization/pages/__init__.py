"""HTML pages of results that open from disk in any browser, without a server or network."""

from .document import document, json_block, text_block
from .pixels import PixelBlock, encode_pixels

__all__ = ['PixelBlock', 'document', 'encode_pixels', 'json_block', 'text_block']
