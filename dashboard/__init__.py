"""The Streamlit pages; they present, `core` computes."""
