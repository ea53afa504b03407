// Prints the table from which objects of built-in kinds are normalised: for every kind that
// client-go knows, its fields as Go writes them. Run it in a directory of its own:
//
//	go mod init types && go get k8s.io/client-go@v0.36.2 && go run types.go > kubernetes-types.txt
//
// A line is either `=<apiVersion> <kind> <type>` or `<type> <field>...`. A field is its JSON name,
// `?` (left out when empty), `~` (left out when zero) or `!` (always written), and its type:
// s string, b bool, i integer, u unsigned, f float, y bytes, q quantity, n integer or string,
// t time, m micro time, d duration, r anything, `*` pointer, `[` list, `{` map, or `@` a type.
package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

var (
	types     = map[string]string{}
	names     = map[reflect.Type]string{}
	marshaler = reflect.TypeOf((*json.Marshaler)(nil)).Elem()
)

func main() {
	var kinds []string
	object := reflect.TypeOf((*metav1.Object)(nil)).Elem()
	for gvk, t := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version == "__internal" || !reflect.PointerTo(t).Implements(object) {
			continue
		}
		kinds = append(kinds, fmt.Sprintf("=%s %s %s", gvk.GroupVersion(), gvk.Kind, name(t)))
	}
	sort.Strings(kinds)
	for _, line := range kinds {
		fmt.Println(line)
	}
	var lines []string
	for name, fields := range types {
		lines = append(lines, name+" "+fields)
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(strings.TrimSpace(line))
	}
}

// name gives a struct a short name and describes it once.
func name(t reflect.Type) string {
	if known, ok := names[t]; ok {
		return known
	}
	path := strings.Split(t.PkgPath(), "/")
	short := strings.Join(path[len(path)-2:], "/") + "." + t.Name()
	names[t] = short
	types[short] = ""
	types[short] = strings.Join(fields(t), " ")
	return short
}

func fields(t reflect.Type) []string {
	var all []string
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag := strings.Split(field.Tag.Get("json"), ",")
		inline, empty, zero := false, false, false
		for _, option := range tag[1:] {
			inline = inline || option == "inline"
			empty = empty || option == "omitempty"
			zero = zero || option == "omitzero"
		}
		if !field.IsExported() || tag[0] == "-" {
			continue
		}
		if tag[0] == "" && (inline || field.Anonymous) {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			all = append(all, fields(inner)...)
			continue
		}
		flag := "!"
		if zero {
			flag = "~"
		} else if empty {
			flag = "?"
		}
		all = append(all, tag[0]+flag+expression(field.Type))
	}
	return all
}

func expression(t reflect.Type) string {
	switch t {
	case reflect.TypeOf(resource.Quantity{}):
		return "q"
	case reflect.TypeOf(intstr.IntOrString{}):
		return "n"
	case reflect.TypeOf(metav1.Time{}):
		return "t"
	case reflect.TypeOf(metav1.MicroTime{}):
		return "m"
	case reflect.TypeOf(metav1.Duration{}):
		return "d"
	}
	if t.Kind() != reflect.Pointer && (t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)) {
		return "r"
	}
	switch t.Kind() {
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "i"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "u"
	case reflect.Float32, reflect.Float64:
		return "f"
	case reflect.Pointer:
		return "*" + expression(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "y"
		}
		return "[" + expression(t.Elem())
	case reflect.Map:
		return "{" + expression(t.Elem())
	case reflect.Struct:
		return "@" + name(t)
	}
	panic(t.String())
}
