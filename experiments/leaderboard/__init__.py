"""Tested runs as systems that are ranked, compared, drawn and shown. Names are imported on first use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "runs": ["TestedRun", "tested_runs"],
        "systems": ["System", "join_runs"],
        "ranking": ["RankedSystem", "Ranking", "main_ranking", "rankings"],
        "differences": ["Comparison", "compare_systems", "system_named"],
        "terminal": ["print_differences", "print_rankings"],
        "html": ["write_page"],
        "markdown": ["update_page"],
        "pictures": ["all_curves", "learning_curves", "quality_and_cost"],
    },
)
