package unet

import "github.com/gounet/gounet/core/graph"

// Store is where cases lie on the device, one after the other.
type Store struct {
	Images graph.Value // Data f32[V C]
	Labels graph.Value // Data u8[V]
	Ctl    int         // first row of graph.Cut, behind those of the augmentation
}

// cutFrom makes the sources of a batch crops of a store.
func (t *Train) cutFrom(b *graph.Builder, voxels int, crop [3]int, n, channels int) {
	s := t.Store
	s.Images = b.Declare("store.images", graph.Data, graph.F32, voxels, channels)
	s.Labels = b.Declare("store.labels", graph.Data, graph.U8, voxels)
	op := graph.Cut{N: n, Crop: crop, Ctl: s.Ctl}
	t.Source = b.Apply("source", op, s.Images, t.Ctl)[0]
	op.Fill = 255 // outside of the scan, see graph.Warp
	t.Labels = b.Apply("labels", op, s.Labels, t.Ctl)[0]
}
