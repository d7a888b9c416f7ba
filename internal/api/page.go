package api

// What a page asks for beside a segmentation: what there is to choose from, voxels
// to look at, and what is made of labels. Label maps that go to and fro here lie in
// the grid of Looked, whose axes are those of the patient; files that are written
// have the grid of the scan.

// PageRequest is the part of a Request that is a page's.
type PageRequest struct {
	List    *List    `json:"list,omitempty"`
	Thumb   *Thumb   `json:"thumb,omitempty"`
	Look    *Look    `json:"look,omitempty"`
	Check   *Check   `json:"check,omitempty"`
	Measure *Measure `json:"measure,omitempty"`
	Surface *Surface `json:"surface,omitempty"`
	Export  *Export  `json:"export,omitempty"`
	Read    *Read    `json:"read,omitempty"`
}

// PageAnswer is the part of an Answer that is a page's.
type PageAnswer struct {
	Partial    *Partial    `json:"partial,omitempty"`
	Listed     *Listed     `json:"listed,omitempty"`
	Thumbed    *Thumbed    `json:"thumbed,omitempty"`
	Looked     *Looked     `json:"looked,omitempty"`
	Checked    *Checked    `json:"checked,omitempty"`
	Measured   *Measured   `json:"measured,omitempty"`
	Surfaced   *Surfaced   `json:"surfaced,omitempty"`
	Exported   *Exported   `json:"exported,omitempty"`
	ReadLabels *ReadLabels `json:"read_labels,omitempty"`
}

// Partial has labels of a box of the grid of Looked in buffer 0, a byte a voxel, W
// fastest: what the tiles of a running segmentation with Segment.Page say so far.
type Partial struct{ Box }

// Box is a part of a grid.
type Box struct {
	Lo    [3]int `json:"lo"` // D H W
	Shape [3]int `json:"shape"`
}

// List asks which scans are in files. Answered by Listed.
type List struct {
	Files []File `json:"files"`
}

// Listed are the scans, DICOM's by study and number.
type Listed struct {
	Series  []Series  `json:"series"`
	Skipped []Skipped `json:"skipped,omitempty"`
}

// Series is a scan that Open takes, by its UID where it is DICOM.
type Series struct {
	UID       string   `json:"uid,omitempty"` // "": not DICOM, the scan of all files
	Number    int      `json:"number,omitempty"`
	Name      string   `json:"name"` // the description, or the name of a file
	Modality  string   `json:"modality,omitempty"`
	Kind      string   `json:"kind"`
	Plane     string   `json:"plane,omitempty"` // axial, coronal, sagittal
	Grid      Grid     `json:"grid"`
	Channels  int      `json:"channels"`
	Bytes     int64    `json:"bytes"` // in memory
	Localizer bool     `json:"localizer,omitempty"`
	Why       string   `json:"why,omitempty"`      // it cannot be opened
	Warnings  []string `json:"warnings,omitempty"` // what was mended in it
	Best      bool     `json:"best,omitempty"`
}

// Skipped is a file that is no part of a scan.
type Skipped struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Thumb asks for a small picture of a series of the last List. Answered by Thumbed.
type Thumb struct {
	UID  string `json:"uid"`
	Side int    `json:"side"` // pixels, of the longer side
}

// Thumbed has W·H bytes of grey in buffer 0.
type Thumbed struct {
	W int `json:"w"`
	H int `json:"h"`
}

// Look asks for the voxels of the opened scan. Answered by Looked.
type Look struct {
	Channel int `json:"channel"`
}

// Looked has a NIfTI file of one channel in buffer 0, whose axes x y z are those of
// the grid: to the patient's right, to the front, to the head, as nearly as the scan's.
type Looked struct {
	Grid      Grid       `json:"grid"`
	Window    [2]float64 `json:"window"` // shown black and white
	Min       float64    `json:"min"`
	Max       float64    `json:"max"`
	Unit      string     `json:"unit,omitempty"`
	Modality  string     `json:"modality,omitempty"`
	Histogram []int      `json:"histogram"` // of the values from Min to Max
	Hash      string     `json:"hash"`      // of grid and voxels: the same for the same scan
}

// Check asks what a segmentation would take, and runs a tile to know how long.
// Answered by Checked.
type Check struct {
	Segment Segment `json:"segment"`
	Plan    bool    `json:"plan,omitempty"` // only what it would take: no tile is run
}

// Checked is what a segmentation takes.
type Checked struct {
	Device Device  `json:"device"`
	Memory Memory  `json:"memory"`
	TileMS float64 `json:"tile_ms"` // of one run, mirrored tiles and folds counted each; 0: not measured
	Rows   int     `json:"rows"`    // tiles of a segmentation, counted so
	State  int64   `json:"state_bytes"`
	// Uncertainty is what its map takes beside Memory.HostBytes.
	Uncertainty int64 `json:"uncertainty_bytes"`
}

// Measure asks for numbers of labels. Answered by Measured.
type Measure struct {
	Labels File `json:"labels"`
}

// Measured are the labels that voxels have.
type Measured struct {
	Labels []Structure `json:"labels"`
}

// Structure is a label in numbers.
type Structure struct {
	Value  int        `json:"value"`
	Voxels int        `json:"voxels"`
	ML     float64    `json:"ml"`
	Mean   float64    `json:"mean"`
	Std    float64    `json:"std"`
	Centre [3]int     `json:"centre"` // voxel D H W of the label that is nearest to its mean place
	Place  [3]float64 `json:"place"`  // of the mean, mm, RAS+
}

// Surface asks for surfaces of labels. Answered by Surfaced.
type Surface struct {
	Labels File `json:"labels"`
}

// Surfaced has a surface a buffer, in the order of Values: uint32 counts of vertices
// and triangles, float32 x y z of the vertices in mm RAS+, uint32 triangles.
type Surfaced struct {
	Values []int `json:"values"`
}

// Formats of Export.
const (
	ExportNIfTI    = "nifti"
	ExportSEG      = "seg"
	ExportRTSTRUCT = "rtstruct"
	ExportNRRD     = "seg.nrrd"
	ExportSTL      = "stl"
	ExportCSV      = "csv"
	// ExportUncertainty is a NIfTI file of Export.Uncertainty.
	ExportUncertainty = "uncertainty"
)

// Export asks for files of labels. Answered by Exported.
type Export struct {
	Formats []string `json:"formats"`
	Labels  File     `json:"labels"`
	Names   []Label  `json:"names"` // those that are written; others become background
	Name    string   `json:"name"`  // of the files, without ending
	Model   string   `json:"model,omitempty"`
	// Uncertainty is a map of it as Done has it, in the grid of Looked.
	Uncertainty *File `json:"uncertainty,omitempty"`
}

// Exported has the files, whose Blob is the buffer.
type Exported struct {
	Files []File `json:"files"`
}

// Read asks for the labels of files in the grid of the opened scan. Answered by ReadLabels.
type Read struct {
	Files []File `json:"files"`
}

// ReadLabels has a label map in buffer 0, as Done has with Segment.Page.
type ReadLabels struct {
	Labels []Label `json:"labels"`
}
