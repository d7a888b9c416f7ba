//go:build !js && cgo

package webgpu

import "github.com/cogentcore/webgpu/wgpu"

// rows are the numbers of rows, of which dispatches bind one.
type rows struct {
	buffer *wgpu.Buffer
	layout *wgpu.BindGroupLayout
	group  *wgpu.BindGroup
}

func (r *rows) make(d *wgpu.Device, q *wgpu.Queue) (err error) {
	numbers := rowNumbers()
	r.buffer, err = d.CreateBuffer(&wgpu.BufferDescriptor{Size: uint64(len(numbers)), Usage: wgpu.BufferUsageUniform | wgpu.BufferUsageCopyDst})
	if err != nil {
		return told(err)
	}
	if err := q.WriteBuffer(r.buffer, 0, numbers); err != nil {
		return told(err)
	}
	r.layout, err = d.CreateBindGroupLayout(&wgpu.BindGroupLayoutDescriptor{Entries: []wgpu.BindGroupLayoutEntry{{
		Visibility: wgpu.ShaderStageCompute,
		Buffer:     wgpu.BufferBindingLayout{Type: wgpu.BufferBindingTypeUniform, HasDynamicOffset: true, MinBindingSize: 4},
	}}})
	if err != nil {
		return told(err)
	}
	r.group, err = d.CreateBindGroup(&wgpu.BindGroupDescriptor{
		Layout: r.layout, Entries: []wgpu.BindGroupEntry{{Buffer: r.buffer, Size: 4}},
	})
	return told(err)
}

func (r *rows) release() {
	if r.group != nil {
		r.group.Release()
	}
	if r.layout != nil {
		r.layout.Release()
	}
	if r.buffer != nil {
		r.buffer.Destroy()
		r.buffer.Release()
	}
}
