// Package api keeps the exported names of the module from changing unnoticed.
package api

import (
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update", false, "write api/v0.txt anew")

// TestAPI compares api/v0.txt with the source.
func TestAPI(t *testing.T) {
	const (
		root = "../.."
		file = "api/v0.txt"
	)
	var got []string
	for _, dir := range []string{".", "epcclogstest"} {
		lines, err := describePackage(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > 0 {
			got = append(got, "")
		}
		got = append(got, lines...)
	}
	if *updateAPI {
		if err := os.WriteFile(filepath.Join(root, file), []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if diff := diffLines(want, got); diff != "" {
		t.Errorf("the exported API is not that of %s:\n%s"+
			"If this is meant, say so in CHANGELOG.md and run: go test ./internal/api -update", file, diff)
	}
}

// describePackage lists the exported declarations of the package in dir, without
// comments, function bodies and unexported fields, in an order that does not
// depend on the files.
func describePackage(dir string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	d := apiPackage{types: make(map[string]string), methods: make(map[string][]string)}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no Go files in %s", dir)
	}

	// Only the constants' values come from here. They need no imports, so the
	// errors about these do not matter.
	conf := types.Config{IgnoreFuncBodies: true, Error: func(error) {}}
	pkg, _ := conf.Check(dir, fset, files, nil)
	d.scope = pkg.Scope()

	for _, f := range files {
		for _, decl := range f.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				d.addFunc(decl)
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if err := d.addSpec(decl.Tok, spec); err != nil {
						return nil, fmt.Errorf("%s: %w", fset.Position(spec.Pos()), err)
					}
				}
			}
		}
	}
	return d.lines(files[0].Name.Name), nil
}

// apiPackage collects the declarations of a package.
type apiPackage struct {
	scope         *types.Scope
	values, funcs []string
	types         map[string]string   // by name
	methods       map[string][]string // by the type's name
}

func (d *apiPackage) lines(name string) []string {
	slices.Sort(d.values)
	slices.Sort(d.funcs)
	lines := append([]string{"package " + name, ""}, d.values...)
	lines = append(append(lines, ""), d.funcs...)
	for _, name := range slices.Sorted(maps.Keys(d.types)) {
		lines = append(append(lines, ""), strings.Split(d.types[name], "\n")...)
		slices.Sort(d.methods[name])
		lines = append(lines, d.methods[name]...)
	}
	return lines
}

func (d *apiPackage) addFunc(f *ast.FuncDecl) {
	signature := strings.TrimPrefix(types.ExprString(f.Type), "func")
	switch {
	case !f.Name.IsExported():
	case f.Recv == nil:
		d.funcs = append(d.funcs, "func "+f.Name.Name+typeParams(f.Type.TypeParams)+signature)
	default:
		recv := f.Recv.List[0].Type
		base := strings.TrimPrefix(types.ExprString(recv), "*")
		base, _, _ = strings.Cut(base, "[")
		if ast.IsExported(base) {
			d.methods[base] = append(d.methods[base],
				fmt.Sprintf("func (%s) %s%s", types.ExprString(recv), f.Name.Name, signature))
		}
	}
}

func (d *apiPackage) addSpec(kind token.Token, spec ast.Spec) error {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return nil
		}
		typ := types.ExprString(spec.Type)
		if s, ok := spec.Type.(*ast.StructType); ok {
			var err error
			if typ, err = describeStruct(s); err != nil {
				return err
			}
		}
		if spec.Assign.IsValid() {
			typ = "= " + typ
		}
		d.types[spec.Name.Name] = "type " + spec.Name.Name + typeParams(spec.TypeParams) + " " + typ
	case *ast.ValueSpec:
		for i, name := range spec.Names {
			if !name.IsExported() {
				continue
			}
			line := kind.String() + " " + name.Name
			if spec.Type != nil {
				line += " " + types.ExprString(spec.Type)
			}
			c, _ := d.scope.Lookup(name.Name).(*types.Const)
			switch {
			case c != nil && c.Val().Kind() != constant.Unknown:
				if named, ok := c.Type().(*types.Named); ok && spec.Type == nil {
					line += " " + named.Obj().Name()
				}
				line += " = " + c.Val().ExactString()
			case c != nil && i >= len(spec.Values):
				return fmt.Errorf("the value of %s is not known without imports", name.Name)
			case c != nil || spec.Type == nil: // a variable's value stands for its type
				line += " = " + types.ExprString(spec.Values[min(i, len(spec.Values)-1)])
			}
			d.values = append(d.values, line)
		}
	}
	return nil
}

func describeStruct(s *ast.StructType) (string, error) {
	lines := []string{"struct {"}
	elided := false
	for _, field := range s.Fields.List {
		var names []string
		for _, name := range field.Names {
			if name.IsExported() {
				names = append(names, name.Name)
			}
			elided = elided || !name.IsExported()
		}
		line := "\t" + strings.Join(names, ", ")
		switch {
		case len(field.Names) == 0:
			name := types.ExprString(field.Type)
			if base := strings.TrimPrefix(name, "*"); !strings.Contains(base, ".") && !ast.IsExported(base) {
				return "", fmt.Errorf("the exported members of the embedded %s would not be listed", name)
			}
			line += name
		case len(names) == 0:
			continue
		default:
			line += " " + types.ExprString(field.Type)
		}
		if field.Tag != nil {
			line += " " + field.Tag.Value
		}
		lines = append(lines, line)
	}
	if elided {
		lines = append(lines, "\t// unexported fields")
	}
	return strings.Join(append(lines, "}"), "\n"), nil
}

func typeParams(list *ast.FieldList) string {
	if list == nil {
		return ""
	}
	var params []string
	for _, field := range list.List {
		for _, name := range field.Names {
			params = append(params, name.Name+" "+types.ExprString(field.Type))
		}
	}
	return "[" + strings.Join(params, ", ") + "]"
}

// diffLines returns the lines that only one of the two has, each indented one
// after the declaration that it stands in; empty when there are none.
func diffLines(want, got []string) string {
	common := make([][]int, len(want)+1) // length of the longest common subsequence from here on
	for i := range common {
		common[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if want[i] == got[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var b strings.Builder
	header := ""
	show := func(sign, line string) {
		if strings.HasPrefix(line, "\t") && header != "" {
			b.WriteString("  " + header + "\n")
			header = ""
		}
		b.WriteString(sign + " " + line + "\n")
	}
	for i, j := 0, 0; i < len(want) || j < len(got); {
		switch {
		case i < len(want) && j < len(got) && want[i] == got[j]:
			if !strings.HasPrefix(want[i], "\t") {
				header = want[i]
			}
			i++
			j++
		case j == len(got) || i < len(want) && common[i+1][j] >= common[i][j+1]:
			show("-", want[i])
			i++
		default:
			show("+", got[j])
			j++
		}
	}
	return b.String()
}
