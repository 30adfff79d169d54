"""The plugins that come with autotl, registered through the same hooks as installed ones. Nothing here imports torch."""
