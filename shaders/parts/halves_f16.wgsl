// halves_f16: words of two halves, on devices that have them: shader-f16.

fn pair_of(w: u32) -> vec2<f32> {
    return vec2<f32>(bitcast<vec2<f16>>(w));
}

fn halves(a: f32, b: f32) -> u32 {
    return bitcast<u32>(vec2<f16>(vec2<f32>(a, b)));
}
