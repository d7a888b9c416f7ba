package mesh

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/gounet/gounet/internal/atomicfile"
)

// Part is a surface with the name and the colour of its structure.
type Part struct {
	Name  string
	Color color.NRGBA
	*Mesh
}

// Write writes parts to path, .stl, .obj or .glb. The file appears whole or not at all.
func Write(path string, parts []Part) error {
	var write func(io.Writer, []Part) error
	switch strings.ToLower(filepath.Ext(path)) {
	case ".stl":
		write = WriteSTL
	case ".obj":
		write = WriteOBJ
	case ".glb":
		write = WriteGLB
	default:
		return fmt.Errorf("mesh: %s: the name of a file to write ends in .stl, .obj or .glb", path)
	}
	if err := atomicfile.Write(path, func(w io.Writer) error { return write(w, parts) }); err != nil {
		return fmt.Errorf("mesh: %s: %w", path, err)
	}
	return nil
}

// lps turns RAS+ to left-posterior-superior, which is a rotation: triangles keep
// their side.
func lps(v [3]float32) [3]float32 { return [3]float32{0 - v[0], 0 - v[1], v[2]} }

// WriteSTL writes binary STL in mm, left-posterior-superior, all parts as one. STL
// has no coordinate system; 3D Slicer takes LPS unless the header says otherwise, and
// the header says SPACE=LPS, as its own files do.
func WriteSTL(w io.Writer, parts []Part) error {
	n := 0
	for _, p := range parts {
		n += len(p.Triangles)
	}
	if n > math.MaxUint32 {
		return fmt.Errorf("%d triangles, an STL has at most 2³² − 1", n)
	}
	b := bufio.NewWriter(w)
	head := make([]byte, 80, 84)
	copy(head, "gounet SPACE=LPS mm")
	if _, err := b.Write(binary.LittleEndian.AppendUint32(head, uint32(n))); err != nil {
		return err
	}
	record := make([]byte, 0, 50)
	for _, p := range parts {
		for _, t := range p.Triangles {
			normal := p.normal(t)
			length := math.Sqrt(dot(normal, normal))
			if length == 0 {
				length = 1
			}
			record = appendVector(record[:0], lps([3]float32{float32(normal[0] / length), float32(normal[1] / length), float32(normal[2] / length)}))
			for _, v := range t {
				record = appendVector(record, lps(p.Vertices[v]))
			}
			if _, err := b.Write(append(record, 0, 0)); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}

func appendVector(b []byte, v [3]float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// WriteOBJ writes Wavefront OBJ in mm, left-posterior-superior, a group a part. 3D
// Slicer reads SPACE=LPS of the comment; other readers know no coordinate system.
func WriteOBJ(w io.Writer, parts []Part) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# gounet SPACE=LPS mm\n")
	first := 1
	for _, p := range parts {
		fmt.Fprintf(b, "g %s\n", oneWord(p.Name))
		for _, v := range p.Vertices {
			v = lps(v)
			fmt.Fprintf(b, "v %v %v %v\n", v[0], v[1], v[2])
		}
		for _, n := range p.Normals() {
			n = lps(n)
			fmt.Fprintf(b, "vn %.5f %.5f %.5f\n", n[0], n[1], n[2])
		}
		for _, t := range p.Triangles {
			fmt.Fprintf(b, "f %[1]d//%[1]d %[2]d//%[2]d %[3]d//%[3]d\n", int(t[0])+first, int(t[1])+first, int(t[2])+first)
		}
		first += len(p.Vertices)
	}
	return b.Flush()
}

// oneWord is a name without white space, for formats whose names end there.
func oneWord(name string) string {
	if words := strings.Fields(name); len(words) > 0 {
		return strings.Join(words, "_")
	}
	return "structure"
}

// The parts of glTF 2.0 that WriteGLB uses; field names are the specification's.
type (
	gltf struct {
		Asset       map[string]string `json:"asset"`
		Scene       int               `json:"scene"`
		Scenes      []gltfScene       `json:"scenes"`
		Nodes       []gltfNode        `json:"nodes"`
		Meshes      []gltfMesh        `json:"meshes,omitempty"`
		Materials   []gltfMaterial    `json:"materials,omitempty"`
		Accessors   []gltfAccessor    `json:"accessors,omitempty"`
		BufferViews []gltfView        `json:"bufferViews,omitempty"`
		Buffers     []gltfBuffer      `json:"buffers,omitempty"`
	}
	gltfScene struct {
		Nodes []int `json:"nodes"`
	}
	gltfNode struct {
		Name     string    `json:"name"`
		Children []int     `json:"children,omitempty"`
		Mesh     *int      `json:"mesh,omitempty"`
		Matrix   []float64 `json:"matrix,omitempty"`
	}
	gltfMesh struct {
		Name       string          `json:"name"`
		Primitives []gltfPrimitive `json:"primitives"`
	}
	gltfPrimitive struct {
		Attributes map[string]int `json:"attributes"`
		Indices    int            `json:"indices"`
		Material   int            `json:"material"`
	}
	gltfMaterial struct {
		Name string `json:"name"`
		PBR  struct {
			Color     [4]float64 `json:"baseColorFactor"`
			Metallic  float64    `json:"metallicFactor"`
			Roughness float64    `json:"roughnessFactor"`
		} `json:"pbrMetallicRoughness"`
	}
	gltfAccessor struct {
		View      int       `json:"bufferView"`
		Component int       `json:"componentType"`
		Count     int       `json:"count"`
		Type      string    `json:"type"`
		Min       []float32 `json:"min,omitempty"`
		Max       []float32 `json:"max,omitempty"`
	}
	gltfView struct {
		Buffer int   `json:"buffer"`
		Offset int64 `json:"byteOffset"`
		Length int64 `json:"byteLength"`
		Target int   `json:"target"`
	}
	gltfBuffer struct {
		Length int64 `json:"byteLength"`
	}
)

// WriteGLB writes binary glTF 2.0, a node a part with its name and colour. Vertices
// are in mm, left-posterior-superior, as in DICOM; the node above them turns and
// scales them to what glTF prescribes: metres, +Y up (superior), +Z to the front
// (anterior), +X to the left of who looks along +Z.
func WriteGLB(w io.Writer, parts []Part) error {
	g := gltf{
		Asset:  map[string]string{"version": "2.0", "generator": "gounet"},
		Scenes: []gltfScene{{Nodes: []int{0}}},
		Nodes:  []gltfNode{{Name: "patient, LPS mm", Matrix: []float64{1e-3, 0, 0, 0, 0, 0, -1e-3, 0, 0, 1e-3, 0, 0, 0, 0, 0, 1}}},
	}
	var full []Part // a node without triangles is not allowed to have a mesh
	size := int64(0)
	for _, p := range parts {
		if len(p.Triangles) > 0 {
			g.add(p, &size)
			full = append(full, p)
		}
	}
	if size > 0 {
		g.Buffers = []gltfBuffer{{size}}
	}
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	for len(text)%4 != 0 {
		text = append(text, ' ')
	}
	total := 12 + 8 + int64(len(text)) + 8 + size
	if total > math.MaxUint32 {
		return errors.New("more than 4 GiB, which a GLB cannot hold: write the structures one by one")
	}
	b := bufio.NewWriter(w)
	head := []byte("glTF")
	for _, v := range []uint32{2, uint32(total), uint32(len(text)), 0x4e4f534a} { // JSON
		head = binary.LittleEndian.AppendUint32(head, v)
	}
	if _, err := b.Write(append(head, text...)); err != nil {
		return err
	}
	head = binary.LittleEndian.AppendUint32(nil, uint32(size))
	if _, err := b.Write(append(head, "BIN\x00"...)); err != nil {
		return err
	}
	for _, p := range full {
		if err := writeBuffers(b, p); err != nil {
			return err
		}
	}
	return b.Flush()
}

// add describes p, whose numbers start at size: vertices, normals, triangles.
func (g *gltf) add(p Part, size *int64) {
	lo, hi := lps(p.Vertices[0]), lps(p.Vertices[0])
	for _, v := range p.Vertices {
		v = lps(v)
		for r := range 3 {
			lo[r], hi[r] = min(lo[r], v[r]), max(hi[r], v[r])
		}
	}
	const float, integer, vertexData, indexData = 5126, 5125, 34962, 34963 // the specification's
	view := func(length int64, target int) int {
		g.BufferViews = append(g.BufferViews, gltfView{Offset: *size, Length: length, Target: target})
		*size += length
		return len(g.BufferViews) - 1
	}
	n := len(g.Accessors)
	bytes := 12 * int64(len(p.Vertices))
	g.Accessors = append(g.Accessors,
		gltfAccessor{View: view(bytes, vertexData), Component: float, Count: len(p.Vertices), Type: "VEC3", Min: lo[:], Max: hi[:]},
		gltfAccessor{View: view(bytes, vertexData), Component: float, Count: len(p.Vertices), Type: "VEC3"},
		gltfAccessor{View: view(12*int64(len(p.Triangles)), indexData), Component: integer, Count: 3 * len(p.Triangles), Type: "SCALAR"})
	m := gltfMaterial{Name: p.Name}
	m.PBR.Color = [4]float64{linear(p.Color.R), linear(p.Color.G), linear(p.Color.B), 1}
	m.PBR.Roughness = 0.6
	mesh := len(g.Meshes)
	g.Materials = append(g.Materials, m)
	g.Meshes = append(g.Meshes, gltfMesh{Name: p.Name, Primitives: []gltfPrimitive{{
		Attributes: map[string]int{"POSITION": n, "NORMAL": n + 1}, Indices: n + 2, Material: mesh,
	}}})
	g.Nodes = append(g.Nodes, gltfNode{Name: p.Name, Mesh: &mesh})
	g.Nodes[0].Children = append(g.Nodes[0].Children, len(g.Nodes)-1)
}

// linear is the light of an sRGB value, which glTF's factors are in.
func linear(v uint8) float64 {
	c := float64(v) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}

func writeBuffers(w io.Writer, p Part) error {
	b := make([]byte, 0, 12)
	for _, list := range [][][3]float32{p.Vertices, p.Normals()} {
		for _, v := range list {
			b = appendVector(b[:0], lps(v))
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	for _, t := range p.Triangles {
		b = b[:0]
		for _, v := range t {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
