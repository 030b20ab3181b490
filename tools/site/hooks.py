"""For mkdocs: a nav entry FOLDER/* stands for all pages of that folder, by name."""
import pathlib


def on_config(config):
    config["nav"] = expanded(config["nav"], pathlib.Path(config["docs_dir"]))
    return config


def expanded(entry, pages):
    if isinstance(entry, list):
        return [expanded(one, pages) for one in entry]
    if isinstance(entry, dict):
        return {title: expanded(one, pages) for title, one in entry.items()}
    if not entry.endswith("/*"):
        return entry
    found = sorted((pages / entry).parent.glob("*.md"))
    return [page.relative_to(pages).as_posix() for page in found]
