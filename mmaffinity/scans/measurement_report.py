"""Write the results of a scan as a DICOM structured report (TID 1500)."""

import io
from typing import Any

from mmaffinity import __version__
from mmaffinity.utils.optional import quiet, require
from mmaffinity.utils.provenance import NOTICE

from .dicom_reading import read_until_pixels
from .dicom_scan import DicomScan
from .items import Scan
from .mask_writers import as_source, device, unnamed
from .opening import brief
from .output_folder import OutputFolder

SCHEME = '99MMAFFINITY'  # a private coding scheme: no standard has codes for a model's classes


def write_measurement_report(out: OutputFolder, folder: str, scan: Scan, summary: dict[str, Any], model: str) -> str:
    """Write ``measurements.dcm``: class probabilities and the number, area and volume of lesions of a DICOM series.

    The report refers to the slices of the series and, if ``lesions.dcm`` exists, to its segment, whose area and volume it
    contains.

    Args:
        out, folder: destination; write ``lesions.dcm`` there first.
        scan: the scan.
        summary: summary of the scan, see docs/prediction.md.
        model: name of the algorithm.

    Returns:
        Why nothing was written: the scan is not a DICOM series, or its slices have no identifiers to refer to. Empty if the
        file was written.

    Raises:
        ValueError: if highdicom or pydicom is missing, a header cannot be copied, or highdicom rejects the series.
    """
    if not isinstance(scan, DicomScan):
        return 'the scan is not a DICOM series'
    refusal = unnamed(scan)
    if refusal:
        return refusal
    highdicom, sr = require('highdicom', 'medical'), require('highdicom.sr', 'medical')
    try:
        with quiet('highdicom'):
            files = {header.path: header for header in scan.headers}
            evidence = [as_source(read_until_pixels(path)[0], header, header.thickness) for path, header in files.items()]
            segmentation = None
            if out.path(folder, 'lesions.dcm').is_file():
                segmentation = require('highdicom.seg', 'medical').segread(out.path(folder, 'lesions.dcm'))
                evidence.append(segmentation)
            report = sr.Comprehensive3DSR(
                evidence=evidence,
                content=_content(summary, segmentation, model),
                series_instance_uid=highdicom.UID(),
                series_number=901,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                **device(model),
                is_complete=True,
                series_description='Predicted findings, research use only',
            )
            content = io.BytesIO()
            report.save_as(content)
    except Exception as error:
        raise ValueError(f'highdicom cannot write it: {brief(error)}') from error
    with out.write(folder, 'measurements.dcm') as file:
        file.write(content.getbuffer())
    return ''


def _content(summary: dict[str, Any], segmentation: Any, model: str) -> Any:
    """Return the content tree: a group for the scan, and one for its lesions if they are segmented."""
    sr, codes = require('highdicom.sr', 'medical'), require('pydicom.sr.codedict', 'medical').codes
    highdicom, coded = require('highdicom', 'medical'), sr.CodedConcept
    algorithm = sr.AlgorithmIdentification(name=model[:64], version=__version__)
    lesions = summary['lesions']
    notice = sr.QualitativeEvaluation(coded('NOTICE', SCHEME, 'Notice'), coded('RESEARCH', SCHEME, NOTICE))
    evaluations = [notice]
    if summary['label'] is not None:
        classes = list(summary['mean_probability'])
        evaluations.append(
            sr.QualitativeEvaluation(
                coded('CLASS', SCHEME, 'Class with the highest mean probability'),
                coded(f'CLASS{classes.index(summary["label"])}', SCHEME, _text(summary['label'])),
            )
        )
    measurements = [
        sr.Measurement(coded(f'P{number}', SCHEME, _text(f'Mean probability of {name}')), value, codes.UCUM.NoUnits)
        for number, (name, value) in enumerate(summary['mean_probability'].items())
    ]
    measurements.append(
        sr.Measurement(coded('LESIONS', SCHEME, 'Number of lesions, per slice'), lesions['number'], codes.UCUM.NoUnits)
    )
    groups: list[Any] = [
        sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(highdicom.UID(), 'scan'),
            algorithm_id=algorithm,
            measurements=measurements,
            qualitative_evaluations=evaluations,
        )
    ]
    if segmentation is not None:
        sizes = (
            (codes.SCT.Volume, lesions['volume_ml'], coded('ml', 'UCUM', 'milliliter')),
            (codes.SCT.Area, lesions['area_mm2'], coded('mm2', 'UCUM', 'square millimeter')),
        )
        groups.append(
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(highdicom.UID(), 'lesions'),
                finding_type=codes.SCT.Lesion,
                referenced_segment=_segment(segmentation),
                algorithm_id=algorithm,
                measurements=[sr.Measurement(name, value, unit) for name, value, unit in sizes if value is not None],
            )
        )
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=highdicom.UID(), name='mmaffinity', manufacturer_name='mmaffinity', model_name=model[:64]
        ),
    )
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        imaging_measurements=groups,
        procedure_reported=coded('24627-2', 'LN', 'CT Chest'),
        title=codes.DCM.ImagingMeasurementReport,
    )


def _text(text: str) -> str:
    """Return text as a single DICOM long string (LO)."""
    return text.replace('\\', '/')[:64]


def _segment(segmentation: Any) -> Any:
    """Return the reference to the only segment; highdicom's own constructor needs the segment number of each frame."""
    sr = require('highdicom.sr', 'medical')
    series = sr.SourceSeriesForSegmentation(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)
    return sr.ReferencedSegment(segmentation.SOPClassUID, segmentation.SOPInstanceUID, 1, source_series=series)
