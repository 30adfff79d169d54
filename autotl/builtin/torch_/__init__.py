"""What the built-in plugins need torch for: named by "module:attr", never imported by statement."""
