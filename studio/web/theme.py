"""The colours and type of the page, for the dark and for paper, given to Gradio as a theme.

Each colour stands here once; `darkroom.css` uses them by name.
"""

import gradio as gr
from gradio.themes.utils import fonts, sizes

# role: (paper, dark)
COLOURS = {
    "ground": ("#f7f3ec", "#131110"),
    "panel": ("#fffdf9", "#1b1816"),
    "raised": ("#efe9df", "#242019"),
    "line": ("#d9d0c3", "#37302a"),
    "edge": ("#8f8577", "#7a6e62"),  # of controls: 3:1 against the panel
    "text": ("#1d1916", "#ece6dd"),
    "quiet": ("#6d6357", "#a2978a"),
    "accent": ("#b8321c", "#ff5a3c"),
    "dim": ("#e3b8ae", "#7a2d20"),
    "on-accent": ("#fffdf9", "#131110"),
    "good": ("#3f7a3e", "#7fb77e"),
    "warn": ("#8a5a00", "#e0a94a"),
    "bad": ("#b3261e", "#ff6b6b"),
}
# Gradio's name: ours.
ROLES = {
    "body_background_fill": "ground",
    "body_text_color": "text",
    "body_text_color_subdued": "quiet",
    "background_fill_primary": "panel",
    "background_fill_secondary": "raised",
    "border_color_primary": "line",
    "border_color_accent": "accent",
    "color_accent_soft": "raised",
    "block_background_fill": "panel",
    "block_border_color": "line",
    "block_info_text_color": "quiet",
    "block_label_background_fill": "panel",
    "block_label_text_color": "quiet",
    "block_title_text_color": "quiet",
    "accordion_text_color": "text",
    "input_background_fill": "raised",
    "input_background_fill_focus": "raised",
    "input_border_color": "raised",
    "input_border_color_focus": "edge",
    "input_placeholder_color": "quiet",
    "checkbox_background_color": "raised",
    "checkbox_background_color_selected": "text",
    "checkbox_border_color": "edge",
    "checkbox_border_color_selected": "text",
    "checkbox_border_color_focus": "edge",
    "checkbox_label_background_fill": "raised",
    "checkbox_label_background_fill_hover": "line",
    "checkbox_label_background_fill_selected": "line",
    "checkbox_label_border_color": "raised",
    "checkbox_label_text_color": "text",
    "checkbox_label_text_color_selected": "text",
    "slider_color": "edge",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent",
    "button_primary_text_color": "on-accent",
    "button_secondary_background_fill": "raised",
    "button_secondary_background_fill_hover": "line",
    "button_secondary_text_color": "text",
    "error_text_color": "text",
    "error_background_fill": "panel",
    "error_border_color": "line",
    "error_icon_color": "bad",
    "loader_color": "quiet",
    "link_text_color": "text",
    "link_text_color_hover": "text",
    "link_text_color_active": "text",
    "link_text_color_visited": "text",
}
PLAIN = {
    "body_text_size": "15px",
    "prose_text_size": "15px",
    "block_title_text_size": "13px",
    "block_title_text_weight": "400",
    "block_label_text_size": "13px",
    "block_info_text_size": "13px",
    "input_text_size": "15px",
    "checkbox_label_text_size": "15px",
    "button_large_text_size": "15px",
    "button_medium_text_size": "15px",
    "button_small_text_size": "13px",
    "button_large_text_weight": "700",
    "button_medium_text_weight": "400",
    "button_small_text_weight": "400",
    "button_border_width": "0px",
    "button_transition": "background-color 150ms",
    "block_border_width": "0px",
    "block_label_border_width": "0px",
    "block_padding": "0px",
    "block_shadow": "none",
    "block_radius": "8px",
    "container_radius": "8px",
    "input_border_width": "1px",
    "input_padding": "8px 12px",
    "input_radius": "8px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "checkbox_label_border_width": "0px",
    "checkbox_label_padding": "8px 12px",
    "checkbox_label_gap": "8px",
    "checkbox_label_shadow": "none",
    "checkbox_shadow": "none",
    "checkbox_border_radius": "4px",
    "button_large_radius": "8px",
    "button_medium_radius": "8px",
    "button_small_radius": "8px",
    "form_gap_width": "16px",
    "layout_gap": "16px",
    "shadow_drop": "none",
    "shadow_drop_lg": "none",
}


def darkroom_theme() -> gr.themes.Base:
    theme = gr.themes.Base(
        text_size=sizes.text_md,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_md,
        # Gradio's file of the weight between holds no Latin letters.
        font=[fonts.LocalFont("IBM Plex Sans", (400, 700)), "sans-serif"],
        font_mono=[fonts.LocalFont("IBM Plex Mono", (400,)), "monospace"],
    )
    both = {
        name + ending: COLOURS[role][side]
        for name, role in ROLES.items()
        for side, ending in enumerate(("", "_dark"))
    }
    theme.set(**both, **PLAIN)
    return theme


def named_colours() -> str:
    """The same colours under their own names, for the style sheet."""
    return _names(":root", 0) + _names(":root.dark, :root .dark", 1)


def _names(where: str, side: int) -> str:
    values = "; ".join(f"--{role}: {pair[side]}" for role, pair in COLOURS.items())
    return f"{where} {{ {values} }}\n"
