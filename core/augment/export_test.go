package augment

// Transposed and Quarters are the maps of transpositions and quarter turns.
var (
	Transposed = transposed
	Quarters   = quarters
)
