"""Provenance of a result: fingerprints of lists and configs."""

import hashlib

from mmaffinity.utils.provenance import fingerprint


def test_fingerprint_does_not_depend_on_the_order():
    assert fingerprint(['b', 'a']) == fingerprint(['a', 'b']) == hashlib.sha256(b'a\nb').hexdigest()
    assert fingerprint(['a']) != fingerprint(['a', 'b'])
