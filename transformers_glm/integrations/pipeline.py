# SPDX-License-Identifier: Apache-2.0
"""The task "blank-infilling" of `transformers.pipeline`: texts with blanks in, filled texts out."""

from dataclasses import asdict

from transformers import Pipeline

from ..infilling import fill_blanks


class BlankInfillingPipeline(Pipeline):
    """
    Fill the blanks of texts, see [`~transformers_glm.infilling.fill_blanks`].

        >>> pipeline("blank-infilling", model="path")("Ada [MASK] the first [MASK].")  # doctest: +SKIP
        {"text": ..., "pieces": [..., ...], "log_probabilities": [..., ...]}

    Called with a text it returns a dictionary, with a list a list of them (with `num_return_sequences=n > 1` a list of `n`
    dictionaries for each text). `generate`'s arguments can be given to `pipeline` or to the call, `batch_size` as to every
    pipeline.
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def _sanitize_parameters(self, **generate_kwargs):
        return {}, generate_kwargs, {}

    def preprocess(self, text) -> dict:
        """Texts stay texts: rows are laid out together, batch by batch."""
        return {"texts": text}

    def _forward(self, model_inputs, **generate_kwargs):
        texts = model_inputs["texts"]  # a text, or the batch that the pipeline made of several
        size = 1 if isinstance(texts, str) else len(texts)
        return {"filled": fill_blanks(self.model, self.tokenizer, texts, batch_size=size, **generate_kwargs)}

    def postprocess(self, model_outputs) -> dict | list[dict]:
        """Dictionaries for data classes."""
        filled = model_outputs["filled"]
        return [asdict(one) for one in filled] if isinstance(filled, list) else asdict(filled)
