//go:build !predict

package webgpu

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// training adds the kernels of the ops that only a training has: gradients and losses.
func (s *scope) training(n graph.Node) error {
	switch op := n.Op.(type) {
	case graph.Conv3DGradInput:
		return s.conv3DGradInput(op, n)
	case graph.Conv3DGradWeight:
		return s.conv3DGradWeight(op, n)
	case graph.UpConv3DGradInput:
		return s.upConv3DGradInput(n)
	case graph.UpConv3DGradWeight:
		return s.upConv3DGradWeight(op, n)
	case graph.NormActGrad:
		return s.normActGrad(op, n)
	case graph.Estimate:
		return s.estimate(op, n)
	case graph.Track:
		return s.track(op, n)
	case graph.ActGrad:
		return s.add(shaders.Consts{"GRAD": true, "SLOPE": op.Slope}, n)
	case graph.AvgPoolGrad:
		return s.pool("avg_pool_grad", op.Stride, s.Type(n.In[0]).Shape, n)
	case graph.EnlargeGrad:
		return s.stretch("enlarge_grad", op.Stride, s.Type(n.Out[0]).Shape, n)
	case graph.SegSums:
		return s.segSums(op, n)
	case graph.SegGrad:
		return s.segGrad(op.SegSums, n)
	case graph.SegLoss:
		return s.segLoss(op, n)
	case graph.Hardest:
		return s.hardest(op, n)
	}
	return s.around(n)
}

// around adds the kernels of those around the network: augmentation, and what is done with gradients.
func (s *scope) around(n graph.Node) error {
	switch op := n.Op.(type) {
	case graph.AllReduce:
		return nil // of one device
	case graph.GradNorm:
		return s.gradNorm(op, n)
	case graph.Step:
		return s.step(op, n)
	case graph.Cut:
		return s.cut(op, n)
	case graph.Warp:
		return s.warp(op, n)
	case graph.Mask:
		return s.mask(op, n)
	case graph.Blur:
		return s.blur(op, n)
	case graph.LowRes:
		return s.lowRes(op, n)
	case graph.Intensity:
		return s.intensity(op, n)
	case graph.Median:
		return s.median(op, n)
	case graph.Sharpen:
		return s.sharpen(op, n)
	case graph.Blank:
		return s.blank(op, n)
	case graph.Local:
		return s.local(op, n)
	}
	return s.several(n)
}
