"""The builders of the built-in plugins that need torch: named by "module:attr", never imported by statement."""
