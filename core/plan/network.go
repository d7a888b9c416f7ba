package plan

// Network is a U-Net, stage by stage from the full resolution down.
type Network struct {
	Kind         string   `json:"kind"`          // Plain, Residual or Strided: the encoder; the decoder is plain. Or PreNorm
	Features     []int    `json:"features"`      // channels of each stage
	Kernels      [][3]int `json:"kernels"`       // of each stage, also of the decoder there; 2-D has 1 in D
	Strides      [][3]int `json:"strides"`       // on entry to each stage; 1 1 1 first
	Convs        []int    `json:"convs"`         // convolutions (plain) or blocks (residual) of each encoder stage
	DecoderConvs []int    `json:"decoder_convs"` // convolutions of each decoder stage, lowest resolution first; one fewer than stages
	ConvBias     bool     `json:"conv_bias"`     // of the convolutions in front of norms, and of the up-sampling

	// What MONAI's DynUNet has and nnU-Net has not.
	UpBias         bool     `json:"up_bias,omitempty"`         // the up-sampling has a bias, whatever ConvBias is
	DecoderKernels [][3]int `json:"decoder_kernels,omitempty"` // of each decoder stage from the full resolution down; none: those of the encoder
	Heads          int      `json:"heads,omitempty"`           // outputs that there are, from the full resolution down; 0: one for each decoder stage

	Norm    string  `json:"norm,omitempty"`   // InstanceNorm, also if empty, BatchNorm or GroupNorm
	Groups  int     `json:"groups,omitempty"` // of channels, of GroupNorm
	NormEps float32 `json:"norm_eps"`         // 1e-5: nnU-Net's instance norm
	Slope   float32 `json:"slope"`            // 0.01: of nnU-Net's leaky ReLU
}

// Stages is the number of resolutions.
func (n *Network) Stages() int { return len(n.Features) }

// Divisor is what a patch must be a multiple of on each axis: the product of the strides.
func (n *Network) Divisor() [3]int {
	d := [3]int{1, 1, 1}
	for _, s := range n.Strides {
		for a := range d {
			d[a] *= s[a]
		}
	}
	return d
}

// Sizes returns the voxels of each stage for a patch.
func (n *Network) Sizes(patch [3]int) [][3]int {
	sizes := make([][3]int, len(n.Strides))
	size := patch
	for i, s := range n.Strides {
		for a := range size {
			size[a] /= s[a]
		}
		sizes[i] = size
	}
	return sizes
}

// Parameters counts the weights for inputs of in channels and an output of
// classes, with all its heads. The network must be valid.
func (n *Network) Parameters(in, classes int) int {
	if n.Kind == PreNorm {
		return n.preNormParameters(in, classes)
	}
	total := n.encoderParameters(in)
	for d := range n.Stages() - 1 {
		l := n.Stages() - 2 - d
		f, k := n.Features[l], prod(n.DecoderKernel(l))
		total += prod(n.Strides[l+1])*n.Features[l+1]*f + f*b2i(n.HasUpBias()) // up-sampling
		total += n.conv(2*f, f, k) + (n.DecoderConvs[d]-1)*n.conv(f, f, k)
		if l < n.Outputs() {
			total += f*classes + classes
		}
	}
	return total
}

// DecoderKernel is the kernel of the decoder stage at level l, 0 being the full
// resolution.
func (n *Network) DecoderKernel(l int) [3]int {
	if n.DecoderKernels != nil {
		return n.DecoderKernels[l]
	}
	return n.Kernels[l]
}

// HasUpBias says whether the up-sampling has a bias.
func (n *Network) HasUpBias() bool { return n.ConvBias || n.UpBias }

// Outputs is the number of heads, from the full resolution down.
func (n *Network) Outputs() int {
	if n.Heads > 0 {
		return n.Heads
	}
	return n.Stages() - 1
}

func (n *Network) encoderParameters(in int) int {
	total, width := 0, in
	if n.Kind == Residual {
		width = n.Features[0]
		total = n.conv(in, width, prod(n.Kernels[0])) // stem
	}
	for i, f := range n.Features {
		k := prod(n.Kernels[i])
		for range n.Convs[i] {
			total += n.conv(width, f, k)
			if n.Kind != Plain {
				total += n.conv(f, f, k)
				if n.projects(i, width) {
					total += width*f + 2*f // 1×1×1 without bias, and its norm
				}
			}
			width = f
		}
	}
	return total
}

func (n *Network) preNormParameters(in, classes int) int {
	f := n.Features
	total := n.conv(in, f[0], prod(n.Kernels[0])) + n.conv(f[0], f[0], prod(n.Kernels[0])) - 2*f[0] // the second without a norm
	for s := 1; s < n.Stages(); s++ {
		k := prod(n.Kernels[s])
		total += n.layer(f[s-1], f[s], k) + n.layer(f[s], f[s], k)
	}
	for l := range n.Stages() - 1 {
		k := prod(n.DecoderKernel(l))
		total += n.layer(f[l]+f[l+1], f[l], k) + n.layer(f[l], f[l], k)
		if l < n.Outputs() {
			total += f[l]*classes + classes
		}
	}
	return total
}

// layer counts a convolution with the norm in front of it.
func (n *Network) layer(in, out, k int) int {
	return k*in*out + out*b2i(n.ConvBias) + 2*in
}

// BlockConvs is what the names of the two convolutions of a residual block end in.
func (n *Network) BlockConvs() (first, second string) {
	if n.Kind == Strided {
		return ".convs.0", ".convs.1"
	}
	return ".conv1", ".conv2"
}

// projects says whether the way around a block of stage i, of width channels before
// it, has a convolution.
func (n *Network) projects(i, width int) bool {
	return width != n.Features[i] || n.Kind == Strided && prod(n.Strides[i]) > 1
}

// conv counts a convolution of k taps with its instance norm.
func (n *Network) conv(in, out, k int) int {
	return k*in*out + out*b2i(n.ConvBias) + 2*out
}

func prod(v [3]int) int { return v[0] * v[1] * v[2] }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
