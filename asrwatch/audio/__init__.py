"""What a recording is, told from its headers alone, before anything is sent or paid."""
