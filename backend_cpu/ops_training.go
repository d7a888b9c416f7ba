//go:build !predict

package cpu

import (
	"errors"

	"github.com/gounet/gounet/core/graph"
)

// training binds the ops that only a training has: gradients and losses.
func (s *scope) training(n graph.Node) ([]part, error) {
	switch op := n.Op.(type) {
	case graph.Conv3DGradInput:
		return s.conv3DGradInput(op, n), nil
	case graph.Conv3DGradWeight:
		return s.conv3DGradWeight(op, n), nil
	case graph.UpConv3DGradInput:
		return s.upConv3DGradInput(n), nil
	case graph.UpConv3DGradWeight:
		return s.upConv3DGradWeight(n), nil
	case graph.NormActGrad:
		return s.normActGrad(op, n), nil
	case graph.Estimate:
		return s.estimate(op, n), nil
	case graph.Track:
		return s.track(op, n), nil
	case graph.ActGrad:
		return s.actGrad(op, n), nil
	case graph.AvgPoolGrad:
		return s.avgPoolGrad(op.Stride, n), nil
	case graph.EnlargeGrad:
		return s.enlargeGrad(n), nil
	case graph.SegSums:
		return s.segSums(op, n), nil
	case graph.SegGrad:
		return s.segGrad(op.SegSums, n), nil
	case graph.SegLoss:
		return s.segLoss(op, n), nil
	case graph.Hardest:
		return s.hardest(op, n), nil
	}
	return s.around(n)
}

// around binds those around the network: augmentation, and what is done with gradients.
func (s *scope) around(n graph.Node) ([]part, error) {
	switch op := n.Op.(type) {
	case graph.AllReduce:
		return s.allReduce(op, n)
	case graph.GradNorm:
		return s.gradNorm(op, n), nil
	case graph.Step:
		return s.step(op, n), nil
	case graph.Cut:
		return s.cut(op, n), nil
	case graph.Warp:
		return s.warp(op, n), nil
	case graph.Mask:
		return s.mask(op, n), nil
	case graph.Blur:
		return s.blur(op, n), nil
	case graph.LowRes:
		return s.lowRes(op, n), nil
	case graph.Intensity:
		return s.intensity(op, n), nil
	case graph.Median:
		return s.median(op, n), nil
	case graph.Sharpen:
		return s.sharpen(op, n), nil
	case graph.Blank:
		return s.blank(op, n), nil
	case graph.Local:
		return s.local(op, n), nil
	}
	if list := s.several(n); list != nil {
		return list, nil
	}
	return nil, errors.New("the cpu backend does not have this op")
}
