package server

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

//go:embed pages
var pages embed.FS

var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(pages, "pages/*.html"))
})

func render(c echo.Context, name string, data any) error {
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	return c.HTMLBlob(http.StatusOK, b.Bytes())
}

// statusPage is what a server without a page shows. Where it wants to know who asks
// it shows no more than that.
func (s *Server) statusPage(c echo.Context) error {
	data := struct {
		Version string
		Open    bool
		Ready   string
		Models  []*engine.Model
		Devices []api.ServerDevice
		Jobs    []*api.Job
	}{Version: s.o.Version, Open: s.auth.o.Open()}
	if err := s.ready(c.Request().Context()); err != nil {
		data.Ready = err.Error()
	}
	if data.Open {
		if err := s.auth.origin(c.Request()); err != nil {
			return err
		}
		data.Models, data.Devices = s.models.All(), s.devices()
		ids := s.queue.Jobs.Newest(50, "", func(queue.Brief) bool { return true })
		for r, err := range s.queue.Jobs.Rows(c.Request().Context(), ids) {
			if err != nil {
				return err
			}
			data.Jobs = append(data.Jobs, s.queue.View(r))
		}
	}
	return render(c, "status.html", data)
}

// spec is what the page of the API shows of openapi.yaml.
type spec struct {
	Info struct {
		Title, Version, Description string
	}
	Servers []struct{ URL string }
	Groups  []operations
	Schemas []schema
}

type operations struct {
	Tag string
	All []operation
}

type operation struct {
	Method, Path, Summary, Description string
	Parameters                         []parameter
	Body                               []string
	Responses                          []response
}

type parameter struct{ Name, In, Type, Description string }

type response struct{ Status, Types, Description string }

type schema struct {
	Name, Description string
	Fields            []parameter
}

// apiPage shows openapi.yaml to people.
func (s *Server) apiPage(c echo.Context) error {
	doc, err := readSpec()
	if err != nil {
		return err
	}
	return render(c, "api.html", doc)
}

// readSpec brings the contract into the order of a page. The order of paths and
// fields is that of the file.
var readSpec = sync.OnceValues(func() (*spec, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(openAPI, &root); err != nil {
		return nil, err
	}
	doc := root.Content[0]
	out := &spec{}
	if err := at(doc, "info").Decode(&out.Info); err != nil {
		return nil, err
	}
	byTag := map[string]int{}
	each(at(doc, "tags"), func(_ string, tag *yaml.Node) {
		byTag[text(tag, "name")] = len(out.Groups)
		out.Groups = append(out.Groups, operations{Tag: text(tag, "name")})
	})
	each(at(doc, "paths"), func(path string, item *yaml.Node) {
		var shared []parameter
		each(item, func(method string, op *yaml.Node) {
			if method == "parameters" {
				shared = parameters(doc, op)
				return
			}
			o := operation{
				Method: strings.ToUpper(method), Path: path, Summary: text(op, "summary"), Description: text(op, "description"),
				Parameters: append(slices.Clone(shared), parameters(doc, at(op, "parameters"))...),
			}
			each(at(op, "requestBody", "content"), func(media string, m *yaml.Node) {
				o.Body = append(o.Body, media+": "+typeName(at(m, "schema")))
			})
			each(at(op, "responses"), func(status string, r *yaml.Node) {
				r = follow(doc, r)
				res := response{Status: status, Description: text(r, "description")}
				each(at(r, "content"), func(media string, m *yaml.Node) {
					res.Types = strings.TrimPrefix(res.Types+", "+media+": "+typeName(at(m, "schema")), ", ")
				})
				o.Responses = append(o.Responses, res)
			})
			if tags := at(op, "tags"); tags != nil && len(tags.Content) > 0 {
				g := &out.Groups[byTag[tags.Content[0].Value]]
				g.All = append(g.All, o)
			}
		})
	})
	each(at(doc, "components", "schemas"), func(name string, n *yaml.Node) {
		sc := schema{Name: name, Description: text(n, "description")}
		each(at(n, "properties"), func(field string, p *yaml.Node) {
			sc.Fields = append(sc.Fields, parameter{Name: field, Type: typeName(p), Description: text(p, "description")})
		})
		out.Schemas = append(out.Schemas, sc)
	})
	return out, nil
})

// at walks down mappings by keys; nil where there is none.
func at(n *yaml.Node, keys ...string) *yaml.Node {
	for _, k := range keys {
		var next *yaml.Node
		each(n, func(key string, value *yaml.Node) {
			if key == k {
				next = value
			}
		})
		n = next
	}
	return n
}

// each calls f for the entries of a mapping, or the items of a sequence.
func each(n *yaml.Node, f func(key string, value *yaml.Node)) {
	switch {
	case n == nil:
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			f(n.Content[i].Value, n.Content[i+1])
		}
	case n.Kind == yaml.SequenceNode:
		for i, v := range n.Content {
			f(fmt.Sprint(i), v)
		}
	}
}

func text(n *yaml.Node, key string) string {
	if v := at(n, key); v != nil {
		return v.Value
	}
	return ""
}

// follow goes where a reference leads.
func follow(doc, n *yaml.Node) *yaml.Node {
	if ref := text(n, "$ref"); ref != "" {
		return at(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return n
}

func parameters(doc, list *yaml.Node) (out []parameter) {
	each(list, func(_ string, n *yaml.Node) {
		n = follow(doc, n)
		out = append(out, parameter{text(n, "name"), text(n, "in"), typeName(at(n, "schema")), text(n, "description")})
	})
	return out
}

// typeName is how a schema is called.
func typeName(n *yaml.Node) string {
	if ref := text(n, "$ref"); ref != "" {
		return ref[strings.LastIndex(ref, "/")+1:]
	}
	if all := at(n, "allOf"); all != nil && len(all.Content) > 0 {
		return typeName(all.Content[0])
	}
	switch t := text(n, "type"); t {
	case "array":
		return typeName(at(n, "items")) + "[]"
	case "string":
		if enum := at(n, "enum"); enum != nil {
			var values []string
			each(enum, func(_ string, v *yaml.Node) { values = append(values, v.Value) })
			return strings.Join(values, " | ")
		}
		if f := text(n, "format"); f == "date-time" {
			return f
		}
		return t
	default:
		return t
	}
}
