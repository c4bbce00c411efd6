"""asrwatch: recordings dropped in a folder become transcripts through Alibaba Cloud's Qwen ASR."""

__version__ = "0.1.0"
