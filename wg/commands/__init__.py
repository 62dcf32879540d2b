"""Commands of `wg`, one file each."""
