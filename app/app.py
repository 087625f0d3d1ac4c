"""CSpineApp: from a folder of DICOM to a DICOM Segmentation with its report, as a MONAI Deploy application."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cspine.app.options import Settings, read_settings
from cspine.app.study import Folders, failure_of, log_to_terminal, quieten_holoscan, reported, study_folders
from cspine.core.errors import CSpineError
from cspine.operators import (
    CtReaderOperator,
    DicomSegWriterOperator,
    DicomSeriesLoaderOperator,
    DicomSrWriterOperator,
    NnunetInferenceOperator,
    PostprocessingOperator,
    ReportWriterOperator,
)
from cspine.operators.sdk import Application, CountCondition
from cspine.operators.step import StepOperator
from cspine.report.terminal import print_results


class CSpineApp(Application):  # type: ignore[misc]
    """Segment the vertebrae C1..T1 in the CT of one study.

    Paths and settings come from the command line (``argv``) and the environment: `cspine.app.options` has the table.

    The graph, with the ports' names::

        loader --study_selected_series_list--> reader --image--> inference --prediction--> postprocessing
        postprocessing --seg_image--> seg_writer --seg_file--> sr_writer --measurements--> report_writer
        seg_writer, sr_writer --> dicom/    report_writer --> report/

    Parameters
    ----------
    *args, **kwargs
        What the SDK's `Application` takes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.folders: Folders | None = None
        #: The operators of the graph by name, once it is composed: a subclass connects its own to them.
        self.operators: dict[str, StepOperator] = {}
        super().__init__(*args, **kwargs)

    def compose(self) -> None:
        """Compose the graph."""
        settings = self.settings()
        context = Application.init_app_context(settings.sdk_arguments())
        folders = self.folders or Folders(Path(context.input_path), settings.output)
        model_path = settings.path("model")

        loader = DicomSeriesLoaderOperator(
            self,
            CountCondition(self, 1),
            name="loader",
            input_folder=folders.input,
            rules=settings.path("rules"),
            series_uid=settings.text("series_uid"),
            model_path=model_path,
            levels=settings.text("levels"),
            prior=settings.path("prior"),
        )
        reader = CtReaderOperator(self, name="reader", repair_gaps=settings.is_on("repair_gaps"))
        inference = NnunetInferenceOperator(
            self,
            name="inference",
            model_path=model_path,
            device=settings.text("device"),
            folds=settings.folds(),
            mirror=settings.is_on("mirror"),
            step_size=settings.step_size(),
            precision=settings.precision,
            engine=settings.engine,
            roi=settings.roi,
            confidence=settings.confidence,
        )
        postprocessing = PostprocessingOperator(
            self,
            name="postprocessing",
            levels=settings.text("levels"),
            solve_levels=settings.is_on("solve_levels"),
            fail_on=settings.text("fail_on"),
            incomplete=settings.is_on("incomplete"),
        )
        seg_writer = DicomSegWriterOperator(
            self,
            name="seg_writer",
            output_folder=folders.output,
            seg_type=settings.seg_type,
            outputs=settings.text("outputs"),
            surface_format=settings.text("surface_format"),
            fe_format=settings.text("fe_format"),
        )
        sr_writer = DicomSrWriterOperator(self, name="sr_writer", output_folder=folders.output)
        report_writer = ReportWriterOperator(self, name="report_writer", output_folder=folders.output)
        steps = (loader, reader, inference, postprocessing, seg_writer, sr_writer, report_writer)
        self.operators = {step.name: step for step in steps}

        self.add_flow(loader, reader, {("study_selected_series_list", "study_selected_series_list")})
        self.add_flow(reader, inference, {("image", "image")})

        self.add_flow(inference, postprocessing, {("prediction", "prediction")})
        self.add_flow(reader, postprocessing, {("image", "image")})
        self.add_flow(loader, postprocessing, {("study_selected_series_list", "study_selected_series_list")})

        self.add_flow(postprocessing, seg_writer, {("seg_image", "seg_image")})
        self.add_flow(reader, seg_writer, {("image", "image")})
        self.add_flow(loader, seg_writer, {("study_selected_series_list", "study_selected_series_list")})

        self.add_flow(seg_writer, sr_writer, {("seg_file", "seg_file")})
        self.add_flow(postprocessing, sr_writer, {("seg_image", "seg_image")})
        self.add_flow(inference, sr_writer, {("prediction", "prediction")})
        self.add_flow(reader, sr_writer, {("image", "image")})
        self.add_flow(loader, sr_writer, {("study_selected_series_list", "study_selected_series_list")})

        self.add_flow(sr_writer, report_writer, {("measurements", "measurements")})
        self.add_flow(seg_writer, report_writer, {("seg_file", "seg_file")})
        self.add_flow(postprocessing, report_writer, {("seg_image", "seg_image")})
        self.add_flow(inference, report_writer, {("prediction", "prediction")})
        self.add_flow(reader, report_writer, {("image", "image")})
        self.add_flow(loader, report_writer, {("study_selected_series_list", "study_selected_series_list")})

    def settings(self) -> Settings:
        """Return the settings; UsageError if an option or a variable cannot be used."""
        return read_settings(self.argv[1:], os.environ)

    def run(self) -> None:
        """Run on the study and print the results.

        Raises
        ------
        CSpineError
            Whatever goes wrong, in an operator too; no results are left behind.
        """
        settings = self.settings()
        log_to_terminal(settings)
        quieten_holoscan(settings)
        with study_folders(settings) as self.folders:
            try:
                super().run()
            except RuntimeError as error:
                raise failure_of(self.operators.values()) or CSpineError("the application stopped") from error
            if (failure := failure_of(self.operators.values())) is not None:
                raise failure
            report_writer = self.operators["report_writer"]
            summary = report_writer.summary if isinstance(report_writer, ReportWriterOperator) else None
            if summary is None:
                raise CSpineError("the application ended without results")
        print_results(summary, settings.output)


if __name__ == "__main__":
    with reported():
        CSpineApp().run()
