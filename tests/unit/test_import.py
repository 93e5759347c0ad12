from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import cpuwatch


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, because this one has loaded the packages of the tests."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_importing_cpuwatch_loads_no_optional_or_large_package() -> None:
    done = run("import sys, cpuwatch; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert "importlib.metadata" not in done.stdout.split()
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "cpuwatch" in loaded
    assert not loaded & {
        "psutil",
        "starlette",
        "hypercorn",
        "h11",
        "httpx",
        "asyncio",
        "anyio",
        "argparse",
        "wcwidth",
        "shtab",
        "pyarrow",
        "pandas",
        "polars",
        "tqdm",
    }


def test_opening_procfs_does_not_load_psutil() -> None:
    done = run("import sys, cpuwatch; cpuwatch.open_sampler('procfs').close(); print('psutil' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_every_public_name_exists() -> None:
    done = run("import cpuwatch; print([name for name in cpuwatch.__all__ if not hasattr(cpuwatch, name)])")
    assert done.stdout.strip() == "[]", done.stderr


def test_no_submodule_has_the_name_of_a_public_function() -> None:
    # Importing the submodule would replace the function of that name in the package.
    done = run(
        "import cpuwatch, pkgutil\n"
        "print([module.name for module in pkgutil.iter_modules(cpuwatch.__path__) if module.name in cpuwatch.__all__])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_version_is_that_of_the_installed_package_and_unknown_names_raise() -> None:
    assert cpuwatch.__version__ == version("cpuwatch")
    with pytest.raises(AttributeError, match=r"module 'cpuwatch' has no attribute 'nothing'"):
        cpuwatch.nothing  # type: ignore[attr-defined]  # noqa: B018  the access must raise


def test_the_query_layer_is_public_and_needs_no_web_packages() -> None:
    done = run(
        "import sys; sys.modules['starlette'] = None\n"
        "from cpuwatch import GroupedSnapshot, Query, View, apply_view\n"
        "from cpuwatch import encode_lines, encode_view, sample, select, table\n"
        "snapshot = sample(0.05)\n"
        "chosen = select(snapshot, Query(name='*', top=1))\n"
        "groups = apply_view(snapshot, View(group_by='user'))\n"
        "print(len(chosen.processes), isinstance(groups, GroupedSnapshot), encode_view(chosen, ['pid'])[:1],\n"
        "      encode_lines(groups)[:1], table(groups) != '')"
    )
    assert done.stdout.strip() == "1 True b'{' b'{' True", done.stderr


def test_the_web_layer_without_starlette_names_the_missing_package_in_one_line() -> None:
    done = run(
        "import sys; sys.modules['starlette'] = None\n"
        "from cpuwatch.errors import MissingExtraError\n"
        "try:\n    import cpuwatch.web\n"
        "except ImportError as error:\n    print(isinstance(error, MissingExtraError), error)\n"
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("True ")
    assert "the extra 'web': install cpuwatch with [web]" in line
    assert done.stderr == ""


@pytest.mark.parametrize("missing", ["starlette", "hypercorn"])
def test_serve_without_its_packages_fails_in_one_line(missing: str) -> None:
    done = run(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from cpuwatch.commands.cli import main\n"
        "sys.exit(main(['serve', '--bind', '127.0.0.1:0']))"
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("cpuwatch: ")
    assert "the extra 'web': install cpuwatch with [web]" in line


def test_the_command_line_can_sample_without_the_web_packages() -> None:
    done = run(
        "import sys; sys.modules['starlette'] = sys.modules['hypercorn'] = None\n"
        "from cpuwatch.commands.cli import main\n"
        "sys.exit(main(['sample', '--interval', '0.05', '--json']))"
    )
    assert done.returncode == 0, done.stderr


def test_a_command_imports_no_module_of_another_command() -> None:
    done = run(
        "import sys\n"
        "from cpuwatch.commands.cli import main\n"
        "try:\n    main(['top', '--help'])\n"
        "except SystemExit:\n    print(*sys.modules)"
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "cpuwatch.commands.top" in loaded
    assert not loaded & {"cpuwatch.commands.serve", "cpuwatch.commands.export", "asyncio", "http.client", "urwid"}


def test_top_without_urwid_says_what_to_install() -> None:
    done = run(
        "import os, pty, sys\n"
        "sys.modules['urwid'] = None\n"
        "_, terminal = pty.openpty()\n"
        "os.dup2(terminal, 0); os.dup2(terminal, 1)\n"
        "from cpuwatch.commands.cli import main\n"
        "sys.exit(main(['top']))"
    )
    assert done.returncode == 1
    assert done.stderr == "cpuwatch: top needs the extra 'top': install cpuwatch with [top]\n"


def test_top_without_a_terminal_names_batch() -> None:
    done = run("import sys; from cpuwatch.commands.cli import main; sys.exit(main(['top']))")
    assert done.returncode == 1
    assert done.stderr == "cpuwatch: top needs a terminal: use --batch to print tables\n"
