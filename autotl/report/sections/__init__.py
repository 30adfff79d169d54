"""The sections of the report, a module each: `section` takes the result and its material and returns what is shown."""
