package deps

// Row says what one package, or all below one folder, may import. Go's own
// library is always allowed, but for a few packages in core.
type Row struct {
	Package string   // folder below the root; the longest that fits is in force
	May     []string // packages of the project, with all below them (without: "!")
	Modules []string // modules of others
}

// Table is the import table of docs/design.md §2. Rings: graph, then domain,
// then use; arrows go inward only.
var Table = []Row{
	// graph
	{Package: "core/graph"},
	{Package: "core/compile", May: []string{"core/graph"}},
	{Package: "core/backend", May: []string{"core/graph", "core/compile", "internal/half"}},
	{Package: "core/backend/backendtest", May: []string{"core/graph", "core/compile", "core/backend", "internal/half"}, Modules: testModules},

	// domain
	{Package: "core/volume"},
	{Package: "core/nifti", May: []string{"core/volume", "internal/atomicfile"}, Modules: gzipModules},
	{Package: "core/dicom", May: []string{"core/volume"}, Modules: append([]string{"github.com/suyashkumar/dicom"}, gzipModules...)},
	{Package: "core/voxel", May: []string{"core/volume"}, Modules: gzipModules},
	{Package: "core/voxel/voxeltest", May: []string{"core/volume", "core/voxel"}, Modules: testModules},
	{Package: "core/nrrd", May: []string{"core/volume", "core/voxel", "internal/atomicfile"}, Modules: gzipModules},
	{Package: "core/metaimage", May: []string{"core/volume", "core/voxel", "internal/atomicfile"}, Modules: gzipModules},
	{Package: "core/mgh", May: []string{"core/volume", "core/voxel", "internal/atomicfile"}, Modules: gzipModules},
	{Package: "core/analyze", May: []string{"core/volume", "core/voxel"}, Modules: gzipModules},
	{Package: "core/raster", May: []string{"core/volume", "core/voxel", "internal/atomicfile"}, Modules: append([]string{"golang.org/x/image"}, gzipModules...)},
	{Package: "core/mesh", May: []string{"core/volume", "internal/atomicfile"}},
	{Package: "core/measure", May: []string{"core/volume", "core/mesh"}},
	{Package: "core/preview", May: []string{"core/volume", "core/mesh", "internal/atomicfile"}},
	{
		Package: "core/scan",
		May: []string{
			"core/volume", "core/voxel", "core/nifti", "core/dicom", "core/nrrd", "core/metaimage", "core/mgh", "core/analyze", "core/raster",
			"internal/atomicfile",
		},
		Modules: gzipModules,
	},
	{Package: "core/metric", May: []string{"core/volume", "core/voxel", "core/scan", "internal/atomicfile", "internal/pickle"}},
	{Package: "core/plan", May: []string{"core/volume", "internal/atomicfile"}},
	{Package: "core/unet", May: []string{"core/graph", "core/plan"}},
	{Package: "core/unet/unettest", May: []string{"core", "internal"}, Modules: testModules},
	{Package: "core/augment", May: []string{"core/graph", "core/plan", "core/unet", "core/volume"}},
	{
		Package: "core/dataset",
		May:     []string{"core/plan", "core/volume", "core/voxel", "core/scan", "core/nifti", "internal"},
		Modules: append([]string{"golang.org/x/sys"}, gzipModules...), // memory maps
	},
	{
		Package: "core/checkpoint",
		May:     []string{"core/graph", "core/plan", "core/unet", "core/volume", "internal"},
		Modules: []string{"google.golang.org/protobuf"}, // ONNX
	},
	{Package: "core/checkpoint/checkpointtest", May: []string{"internal/safetensors"}, Modules: testModules},

	// use
	{Package: "core/train", May: []string{"core", "internal"}, Modules: []string{"google.golang.org/protobuf"}}, // TensorBoard
	{Package: "core/predict", May: []string{"core", "internal"}},
	{Package: "server", May: []string{"core", "internal/api", "internal/atomicfile", "internal/filelock"}, Modules: anyModule},
	{Package: "web", May: []string{"internal/api", "web"}, Modules: []string{"github.com/vugu"}},
	{Package: "web/bundle", Modules: []string{"github.com/evanw/esbuild"}},
	{Package: "web/test", May: []string{"core", "internal", "web"}, Modules: append([]string{"github.com/chromedp"}, testModules...)},
	{Package: "wasm", May: []string{"core", "backend_webgpu", "backend_cpu", "internal/api"}},
	{Package: "cmd", May: []string{"core", "backend_*", "server", "web!", "internal"}, Modules: anyModule},

	// devices
	{
		Package: "backend_cpu",
		May:     []string{"core/graph", "core/compile", "core/backend!", "internal/half", "internal/machine"},
		Modules: []string{"golang.org/x/sys"}, // CPU features
	},
	{
		Package: "backend_cuda",
		May:     []string{"core/graph", "core/compile", "core/backend!", "shaders", "internal/half", "internal/atomicfile"}, // images on disk
		Modules: anyModule,
	},
	{
		Package: "backend_webgpu",
		May:     []string{"core/graph", "core/compile", "core/backend!", "shaders", "internal/half"},
		Modules: anyModule,
	},
	{Package: "shaders"},

	// leaves
	{Package: "internal/report", May: []string{"core"}},
	{Package: "internal", May: []string{"internal"}, Modules: []string{"golang.org/x/sys"}},
}

// Modules of others, by what they are for.
var (
	gzipModules = []string{"github.com/klauspost/compress", "github.com/klauspost/pgzip"}
	testModules = []string{"github.com/stretchr/testify"}
	anyModule   = []string{"*"}
)

// notInCore are packages of Go's library that core stays away from: it runs in a
// browser as well, and hands facts to its callers.
var notInCore = []string{"net", "os/exec", "os/signal", "log", "syscall/js", "plugin", "flag"}
