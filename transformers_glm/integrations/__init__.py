# SPDX-License-Identifier: Apache-2.0
"""What importing the package changes elsewhere: Auto classes, pipelines, PEFT, the evaluation harness."""

from .registration import register


__all__ = ["register"]
