"""What is wrong with a value, in the words of somebody who writes YAML."""

from pydantic_core import ErrorDetails

__all__ = ["NO_SUCH_KEY", "what_is_wrong"]

NO_SUCH_KEY = "there is no such key"


_IN_WORDS = {
    "extra_forbidden": NO_SUCH_KEY,
    "invalid_key": NO_SUCH_KEY,
    "missing": "is missing",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "mapping_type": "must be a mapping of keys",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "too_short": "must not be empty",
}


def what_is_wrong(detail: ErrorDetails) -> str:
    """A validation error's message in the words of somebody who writes YAML."""
    match detail["type"]:
        case "literal_error" | "enum":
            return f"must be {detail['ctx']['expected']}"
        case kind if kind in _IN_WORDS:
            return _IN_WORDS[kind]
        case _:
            return str(detail["msg"]).removeprefix("Value error, ").replace("Input should", "must")
