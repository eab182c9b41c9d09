"""Export of models to ONNX, in a form that runs without torch; needs torch and the extra ``onnx``."""
