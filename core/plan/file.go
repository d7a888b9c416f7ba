package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/gounet/gounet/internal/atomicfile"
)

// FileName is the name of a plan in a model folder.
const FileName = "plan.json"

// maxJSON is the largest file that the readers of this package accept, in bytes:
// a fingerprint of a hundred thousand cases fits.
const maxJSON = 64 << 20

// readJSON decodes one JSON value of at most maxJSON bytes into v and rejects
// what follows it.
func readJSON(r io.Reader, v any, strict bool) error {
	data, err := readBounded(r)
	if err != nil {
		return err
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // a byte order mark, from editors on Windows
	d := json.NewDecoder(bytes.NewReader(data))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return place(data, err)
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("line %d: text after the end of the JSON value", line(data, d.InputOffset()))
	}
	return checkLists(data, v)
}

// checkLists holds the lists of data against the arrays of v, which it was decoded into.
func checkLists(data []byte, v any) error {
	var whole any
	if err := json.Unmarshal(data, &whole); err != nil {
		return place(data, err)
	}
	return checkLengths("", whole, reflect.TypeOf(v).Elem())
}

// checkLengths holds the lists of a JSON value against the arrays of t that they fill: a
// decoder drops what is too much, and fills with 0 what lacks. Types that decode themselves
// do it themselves.
func checkLengths(at string, value any, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	switch value := value.(type) {
	case []any:
		if t.Kind() != reflect.Array && t.Kind() != reflect.Slice {
			return nil
		}
		if t.Kind() == reflect.Array && t.Len() != len(value) {
			return fmt.Errorf("%s has %d values, wanted %d", first(at, "the list"), len(value), t.Len())
		}
		for i, x := range value {
			if err := checkLengths(fmt.Sprintf("%s[%d]", at, i), x, t.Elem()); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if of := typeOfField(t, name); of != nil {
				if err := checkLengths(strings.TrimPrefix(at+"."+name, "."), value[name], of); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// typeOfField is that of what a name of JSON fills in t; nil if there is none.
func typeOfField(t reflect.Type, name string) reflect.Type {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.IsExported() && strings.EqualFold(first(tag, f.Name), name) {
				return f.Type
			}
		}
	}
	return nil
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxJSON {
		return nil, fmt.Errorf("more than %d MiB of JSON", maxJSON>>20)
	}
	return data, nil
}

// place adds the line to a decoder's error.
func place(data []byte, err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w", line(data, syntax.Offset), err)
	case errors.As(err, &typ):
		at := first(typ.Field, "the file")
		return fmt.Errorf("line %d: %s is a JSON %s, wanted %s", line(data, typ.Offset), at, typ.Value, wanted(typ.Type))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("line %d: the JSON ends too early", line(data, int64(len(data))))
	}
	return err
}

// wanted names a type in the words of JSON.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, at least 0"
	}
	return "a whole number"
}

func line(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}

// Parse reads a plan.json and validates it.
func Parse(r io.Reader) (*Plan, error) {
	var p Plan
	if err := readJSON(r, &p, true); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &p, nil
}

// Load reads and validates the plan in the file path.
func Load(path string) (*Plan, error) { return load(path, "plan", Parse) }

// load parses the file path, a what.
func load[T any](path, what string, parse func(io.Reader) (*T, error)) (*T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	v, err := parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// Write writes p as JSON with short arrays on one line. The same plan gives the
// same bytes.
func (p *Plan) Write(w io.Writer) error {
	data, err := encode(p)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	_, err = w.Write(data)
	return err
}

// Save validates p and writes it to path, whole or not at all.
func (p *Plan) Save(path string) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := atomicfile.Write(path, p.Write); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}

// encode is v as indented JSON whose arrays of plain values stay on one line.
func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); {
		switch data[i] {
		case '"':
			n := stringEnd(data[i:])
			out = append(out, data[i:i+n]...)
			i += n
		case '[':
			n := flatArray(data[i:])
			out = appendFlat(out, data[i:i+n])
			i += n
		default:
			out = append(out, data[i])
			i++
		}
	}
	return append(out, '\n'), nil
}

// stringEnd is the length of the JSON string that b starts with.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// flatArray is the length of the array that b starts with if it holds numbers,
// strings or arrays of such only, else 1.
func flatArray(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringEnd(b[i:]) - 1
		case '[':
			depth++
		case '{':
			return 1
		case ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 1
}

// appendFlat appends b without its line breaks; the space after a comma stays.
func appendFlat(out, b []byte) []byte {
	for i := 0; i < len(b); {
		switch b[i] {
		case '"':
			n := stringEnd(b[i:])
			out = append(out, b[i:i+n]...)
			i += n
			continue
		case ',':
			out = append(out, ',', ' ')
		case ' ', '\n':
		default:
			out = append(out, b[i])
		}
		i++
	}
	return out
}
