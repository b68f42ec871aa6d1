"""Files and folders that an adversary writes: reached, walked, read and removed safely."""
