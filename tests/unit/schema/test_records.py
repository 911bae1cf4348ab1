"""What is kept of an answer names no file."""

import json

from phytoscope.schema.records import word_answer


def test_answer_is_kept_without_names_pictures_and_error_texts():
    """Everything of an answer is kept but what may name a file, and the heat map."""
    prediction = {
        "id": "a",
        "name": "secret.jpg",
        "label": "Äpfel",
        "explanation": {"heat": "x"},
        "error": "secret.jpg",
    }
    assert json.loads(word_answer(prediction)) == {"id": "a", "label": "Äpfel"}
