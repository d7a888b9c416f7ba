package preview

import (
	"image/color"
	"math"
)

// hues are easy to tell apart, also for most who are colour-blind, and have a
// contrast of 3:1 (WCAG 1.4.11) on white and on near-black.
var hues = [...]color.NRGBA{
	{0xd9, 0x6f, 0x0d, 255}, // orange
	{0x1f, 0x8f, 0xe0, 255}, // blue
	{0xd2, 0x45, 0x9b, 255}, // magenta
	{0x2f, 0x96, 0x50, 255}, // green
	{0x8b, 0x63, 0xee, 255}, // violet
	{0xa8, 0x82, 0x0a, 255}, // ochre
	{0xe0, 0x4a, 0x4a, 255}, // red
	{0x12, 0x94, 0x9c, 255}, // teal
}

// Hue is the i-th colour; those after the table are spread by the golden angle.
func Hue(i int) color.NRGBA {
	if i < len(hues) {
		return hues[i]
	}
	const golden = 137.50776405 // degrees
	h := math.Mod(float64(i)*golden, 360) * math.Pi / 180
	channel := func(shift float64) uint8 { return uint8(128 + 84*math.Cos(h-shift)) }
	return color.NRGBA{channel(0), channel(2 * math.Pi / 3), channel(4 * math.Pi / 3), 255}
}

// letters are the patient's sides in 5 × 7 pixels, a row a line.
var letters = map[string][7]string{
	"R": {"####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"},
	"L": {"#....", "#....", "#....", "#....", "#....", "#....", "#####"},
	"A": {".###.", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"},
	"P": {"####.", "#...#", "#...#", "####.", "#....", "#....", "#...."},
	"S": {".####", "#....", "#....", ".###.", "....#", "....#", "####."},
	"I": {".###.", "..#..", "..#..", "..#..", "..#..", "..#..", ".###."},
}
