package cpu

// flatArgs is what a worker hands to the kernels of flat.
type flatArgs struct {
	sweep   sweep
	update  update
	squares [4]float64
	loss    lossRows
}
