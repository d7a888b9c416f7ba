package graph

// Everything that varies from step to step is in one f32 value of IO, called
// ctl: the commands of a program never change. Slots below CtlRows belong to
// the step, those from CtlRows on to the rows of a batch (tiles, augmentation),
// at offsets that ops carry as attributes.
const (
	CtlRate      = iota // learning rate
	CtlLossScale        // the loss is multiplied by it before the backward pass
	CtlClip             // largest norm of all gradients; 0: not clipped
	CtlNorm             // out: norm of all gradients, without the loss scale
	CtlFinite           // out: 1 if every gradient is finite, else 0: the step is skipped
	CtlFactor           // out: what a gradient is multiplied by: clipping / loss scale
	CtlGood             // steps since the loss scale changed
	CtlSteps            // steps taken, without those skipped (Adam's bias correction)
	CtlSkipped          // steps skipped
	CtlRows      = 16   // where rows begin
)

// A row of TileLoad and TileBlend: where a tile is read and written, and how it
// is mirrored.
const (
	RowLoad   = 0 // D H W corner in the volume; may be negative: outside is zero
	RowBlend  = 3 // D H W corner in the accumulator
	RowMirror = 6 // bits 1, 2, 4: D, H, W are reversed
	RowWeight = 7 // what the tile's weights are multiplied by; 0: an empty row
	RowLen    = 8
)

// A row of Warp: an output voxel o (D H W, counted from the centre of the
// output) is read at A·o + t (counted from the corner of the source).
const (
	RowAffine = 0 // 3×3, row by row
	RowOffset = 9 // 3
	WarpLen   = 12
)
