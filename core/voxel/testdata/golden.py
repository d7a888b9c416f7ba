"""Makes hundred.bz2: the bytes 0 to 99, since Go's library writes no bzip2."""
import bz2, os

open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "hundred.bz2"), "wb").write(bz2.compress(bytes(range(100))))
