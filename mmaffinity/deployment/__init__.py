"""Export models to ONNX, to run without torch; the export itself needs torch and the extra ``onnx``."""
